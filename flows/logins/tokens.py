"""Tokens of the HTTP API: made and revoked by people for themselves, shown once, kept as a digest."""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from flows.access import acting, require
from flows.models import Token

PREFIX = "dex_"
SECRET = re.compile(r"dex_[A-Za-z0-9_-]{43}")
HINT = len(PREFIX) + 4  # characters; what is left of the secret has 232 bits
USE_NOTED = timedelta(minutes=1)
_kept: ContextVar[bool] = ContextVar("tokens_kept", default=False)


class TokenError(ValueError):
    """A token cannot be made; the message says why."""


def issue(name: str, expires_at: datetime | None = None) -> tuple[Token, str]:
    """Make a token for whoever acts. Out: the token, and its secret, which nobody can show again.

    In: `expires_at`, aware; None, or too late: at the greatest age of a token, DEX_TOKEN_MAX_DAYS. Raises TokenError
    where they have a token of this name, and PermissionDenied for whoever sees no flows: it could do nothing for them.
    """
    actor = require("flows.view_flow")
    if actor.user is None:
        raise PermissionDenied(f"{actor.name} is not a user; users create tokens for themselves.")
    secret = PREFIX + secrets.token_urlsafe(32)
    latest = timezone.now() + timedelta(days=settings.TOKEN_MAX_DAYS)
    try:
        with transaction.atomic():
            token = Token.objects.create(
                user_id=actor.user.pk,
                name=name,
                digest=_digest(secret),
                hint=secret[:HINT],
                expires_at=min(expires_at or latest, latest),
            )
    except IntegrityError as error:
        raise TokenError(f"You have a token named {name}. Revoke it first, or choose another name.") from error
    return token, secret


def revoke(token: Token) -> bool:
    """Nobody acts by this token any more. True when this call was the first to say so.

    Everybody revokes their own; those of others whoever may see users.
    """
    user = acting().user
    if user is None or token.user_id != user.pk:
        require("auth.view_user")
    return bool(Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()))


def revoke_all(user: AbstractBaseUser) -> int:
    """Nobody acts by any token of this user any more; how many that were. Who calls asks for permission."""
    return Token.objects.filter(user_id=user.pk, revoked_at=None).update(revoked_at=timezone.now())


class RevokedWithPassword:
    """Revokes the tokens of whoever gets another password, however: on a page, by a command, by an administrator.

    A validator of passwords (AUTH_PASSWORD_VALIDATORS) that refuses none: Django tells validators of every password
    that was really changed. Whoever changes it because somebody else knew it also ends what that one made.
    """

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Every password will do."""

    def get_help_text(self) -> str:
        """Said beside the field of a new password."""
        return "API tokens are revoked when the password changes, unless they are kept below."

    def password_changed(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """A user has another password now."""
        if user is not None and user.pk and not _kept.get():
            revoke_all(user)


@contextmanager
def tokens_kept(wanted: bool = True) -> Iterator[None]:
    """Within it, a change of the password leaves tokens as they are, if that is wanted."""
    before = _kept.set(wanted)
    try:
        yield
    finally:
        _kept.reset(before)


def tokens_to_see() -> QuerySet[Token]:
    """The tokens that whoever acts may see and revoke: their own; everybody's for who may see users."""
    actor = acting()
    rows = Token.objects.select_related("user")
    if actor.may("auth.view_user"):
        return rows
    return rows.filter(user_id=actor.user.pk) if actor.user else rows.none()


def holder_of(secret: str) -> AbstractBaseUser | None:
    """The user whom a secret lets act; None for one that is unknown, expired, revoked, or of an inactive user.

    The look-up is by digest, so that how long it takes says nothing about the secret.
    """
    if not SECRET.fullmatch(secret):
        return None
    token = Token.objects.select_related("user").filter(digest=_digest(secret), revoked_at=None).first()
    if token is None or token.is_expired or not token.user.is_active:
        return None
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at <= now - USE_NOTED:
        unnoted = Q(last_used_at=None) | Q(last_used_at__lte=now - USE_NOTED)
        Token.objects.filter(unnoted, pk=token.pk).update(last_used_at=now)
    return token.user


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
