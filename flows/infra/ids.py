"""Ids in addresses and in forms. A number that no column holds is not an id: SQLite cannot even be asked for it."""

LARGEST = 2**63 - 1


class IdConverter:
    """`<id:name>` in a path. An address with a larger number leads nowhere, so it answers 404."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        """Out: the id. Raises ValueError, which Django takes for an address that does not fit."""
        number = id_of(value)
        if number is None:
            raise ValueError(value)
        return number

    def to_url(self, value: int) -> str:
        """The id as it stands in an address."""
        return str(value)


def id_of(text: str) -> int | None:
    """The id in a text; None if there is none."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST)) else LARGEST + 1
    return number if number <= LARGEST else None
