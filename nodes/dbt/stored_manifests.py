"""Manifests of revisions, decoded once and shared by the requests of a process."""

import threading
from collections import OrderedDict
from pathlib import Path

from flows.models import Revision
from nodes.dbt.manifest import Manifest

KEPT = 16  # a search looks at those of all environments
_lock = threading.Lock()
_cache: OrderedDict[str, Manifest] = OrderedDict()


def manifest_of(revision: Revision) -> Manifest:
    """The manifest of a revision, from its compact file. Raises FileNotFoundError when that is gone."""
    path = revision.compact_path
    with _lock:
        if path in _cache:
            _cache.move_to_end(path)
            return _cache[path]
    manifest = Manifest.from_compact(Path(path).read_bytes())
    with _lock:
        _cache[path] = manifest
        while len(_cache) > KEPT:
            _cache.popitem(last=False)
    return manifest
