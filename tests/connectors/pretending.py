"""`python -m tests.connectors.pretending SHEETS GCS`: the real child process, with other addresses of the clouds."""

import sys

from nodes.connections.connectors import child, stores
from nodes.connections.connectors.sources import google_sheets

if __name__ == "__main__":
    google_sheets.SHEETS = google_sheets.TOKENS = sys.argv[1]
    stores.Gcs.endpoint = sys.argv[2]
    raise SystemExit(child.main())
