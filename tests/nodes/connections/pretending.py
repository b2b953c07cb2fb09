"""The real child process of a load, with other addresses of the clouds.

python -m tests.nodes.connections.pretending SHEETS GCS
"""

import sys

from nodes.connections.connectors import child, stores
from nodes.connections.connectors.sources import google_sheets

if __name__ == "__main__":
    google_sheets.SHEETS = google_sheets.TOKENS = sys.argv[1]
    stores.Gcs.endpoint = sys.argv[2]
    raise SystemExit(child.main())
