"""dbt's manifest.json as a typed, read-only value.

Only what dex needs is decoded, and only when it is asked for: a manifest of a large project is tens of
megabytes, of which a selection needs a few hundred kilobytes. `decode` reads the file that dbt wrote;
`Manifest.to_compact` writes the small form that is kept beside a revision, in columns, so that reading it
back costs a few milliseconds.

Resources are numbered by the order of their unique ids. Inside dex's selection code they are these numbers,
because sets of small integers are several times faster than sets of long strings.
"""

from nodes.dbt.manifest.decoding import GRAPH_COLLECTIONS, check_schema, decode
from nodes.dbt.manifest.sources import sources_of
from nodes.dbt.manifest.value import Disabled, Manifest, ManifestError, Names, Resource, Version

__all__ = [
    "GRAPH_COLLECTIONS",
    "Disabled",
    "Manifest",
    "ManifestError",
    "Names",
    "Resource",
    "Version",
    "check_schema",
    "decode",
    "sources_of",
]
