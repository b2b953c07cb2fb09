"""The real child process of a load; it stops at a point and waits to be killed.

python -m tests.nodes.connections.stalling POINT
"""

import sys
import time

from nodes.connections.connectors import child


def stall() -> None:
    print("stalled", file=sys.stderr, flush=True)
    time.sleep(300)


def at(point: str) -> None:
    from dlt.destinations.impl.duckdb.duck import DuckDbClient
    from dlt.destinations.job_client_impl import SqlLoadJob

    if point == "publishing":  # within the transaction, before its last statement
        real = SqlLoadJob._split_fragments

        def split(self: SqlLoadJob, sql: str) -> list[str]:
            *most, last = real(self, sql)
            self._sql_client.execute_many(most)
            self._sql_client.execute_many([last])
            stall()
            return []

        SqlLoadJob._split_fragments = split
    else:  # all data is there to be seen, and nothing says that the load ended
        DuckDbClient.complete_load = lambda self, load_id: stall()


if __name__ == "__main__":
    at(sys.argv[1])
    raise SystemExit(child.main())
