"""What a variable may be called: names that reach scripts as environment variables must not steer the machine."""

import re

SHAPE = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")
TAKEN = frozenset(
    [
        *("PATH", "HOME", "USER", "SHELL", "TERM", "TMPDIR", "TEMP", "TMP", "IFS", "ENV", "BASH_ENV"),
        *("SHELLOPTS", "BASHOPTS", "PS4", "LANG", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY"),
        *("NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_OPTIONS"),
        *("PERL5OPT", "PERL5LIB", "RUBYOPT", "JAVA_TOOL_OPTIONS", "VIRTUAL_ENV", "DATABASE_URL"),
        *("CELERY_BROKER_URL", "GCONV_PATH", "MALLOC_CHECK_"),
    ]
)
TAKEN_BEGINNINGS = ("LD_", "DYLD_", "PYTHON", "PIP_", "UV_", "GIT_", "SSH_", "DEX_", "DBT_", "DJANGO_", "LC_", "GLIBC_")


def problem_with(name: str) -> str | None:
    """Why a variable cannot have this name, as a sentence, or None."""
    if not SHAPE.fullmatch(name):
        return "A name can have up to 100 upper-case letters, digits and underscores, and must not start with a digit."
    if name in TAKEN or name.startswith(TAKEN_BEGINNINGS):
        return f"{name} is reserved by the operating system. Choose another name."
    return None
