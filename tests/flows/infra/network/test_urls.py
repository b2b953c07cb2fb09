"""URLs that somebody types for alerts and the like: which can be posted to, and what is said of the others."""

import pytest

from flows.infra.network.policy import AddressError
from flows.infra.network.posting import host_of


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://hooks.example.com/services/T0/B0", "hooks.example.com"),
        ("http://10.0.0.7:8080/", "10.0.0.7"),
        ("https://[::1]/x", "::1"),
        ("HTTPS://Example.COM/%C3%A9", "example.com"),
    ],
)
def test_a_url_that_can_be_posted_to_names_its_host(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.com:port/", "is not valid"),
        ("https://[::1/", "is not valid"),
        ("ftp://example.com/", "must begin with https:// or http://"),
        ("example.com", "must begin with https:// or http://"),
        ("https:///path", "has no host"),
        ("https://ada:secret@example.com/", "must not contain a user name or password"),
        ("https://exa%6dple.com/", "must not contain a %"),
        ("https://example.com/a b", "space, a backslash or a control character"),
        ("https://example.com\\x", "space, a backslash or a control character"),
        ("https://example.com/\x7f", "space, a backslash or a control character"),
        ("https://example.com/é", "must be ASCII"),
    ],
)
def test_any_other_url_is_refused_with_the_reason(url, problem):
    with pytest.raises(AddressError, match=problem):
        host_of(url)
