"""What flows are going to do: their starts, how long those usually take, and which of them get into each other's way.

`plan` is the pure part; `sources` says where starts come from; `usual` reads history and models; `page` puts all of
it together; `drawing` makes shapes of it.
"""
