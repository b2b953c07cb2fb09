"""The forms in which passwords are changed; API tokens are revoked with the old password, unless they are kept."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminPasswordChangeForm as OwnPasswordForm
from django.contrib.auth.forms import AdminPasswordChangeForm

from flows.logins.tokens import revoke_all, tokens_kept
from flows.models import Token


class KeepsTokens(forms.Form):
    """A form that sets a password, with the choice to keep tokens; `said` tells afterwards what became of them."""

    keep_tokens = forms.BooleanField(
        label="Keep API tokens",
        required=False,
        help_text=(
            "Otherwise all API tokens of this user are revoked, because anyone who knew the old password may "
            "have created one."
        ),
    )
    user: Any
    said = ""

    def save(self, commit: bool = True) -> Any:
        """Set the password; also where it is switched off, tokens go."""
        kept = self.cleaned_data["keep_tokens"]
        mine = Token.objects.filter(user=self.user.pk, revoked_at=None)
        before = mine.count()
        with tokens_kept(kept):
            saved = super().save(commit)  # type: ignore[misc]
        if not kept:
            revoke_all(saved)
        if before:
            what = f"{before} API token{'' if before == 1 else 's'}"
            self.said = f"{what} kept." if kept else f"{what} revoked."
        return saved


class OwnPassword(KeepsTokens, OwnPasswordForm):
    """Of whoever is logged in."""

    field_order = ("old_password", "new_password1", "new_password2", "keep_tokens")


class OthersPassword(KeepsTokens, AdminPasswordChangeForm):
    """Of somebody else, by an administrator."""

    field_order = ("usable_password", "password1", "password2", "keep_tokens")
