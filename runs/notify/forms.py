"""The form of a channel: what cannot be sent to is said where it was typed."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from flows.forms import TagsField
from runs.notify.address import AddressError, resolve, split
from runs.notify.kinds import TELLABLE, EventKind
from runs.notify.models import Channel
from runs.notify.sending import addresses_of

MOST_ADDRESSES = 50


class ChannelForm(forms.ModelForm):
    """Where messages go, and which."""

    events = forms.MultipleChoiceField(
        label="Tell of",
        choices=[(kind.value, kind.label) for kind in TELLABLE],
        widget=forms.CheckboxSelectMultiple,
        initial=[EventKind.FAILURE, EventKind.RECOVERED, EventKind.LATE],
        error_messages={"required": "Choose at least one."},
    )
    tags = TagsField(
        required=False, label="Only flows tagged", help_text="Separated by commas; a flow with one of them is enough."
    )

    class Meta:
        model = Channel
        fields: ClassVar = ["name", "kind", "target", "flow", "tags", "events", "nth", "enabled"]
        widgets: ClassVar = {"target": forms.Textarea(attrs={"rows": 2, "spellcheck": "false"})}
        labels: ClassVar = {"target": "To", "flow": "Only the flow", "enabled": "Switched on"}
        help_texts: ClassVar = {
            "target": "Email: addresses, separated by commas. Slack: the URL of an incoming webhook. Webhook: a URL.",
            "flow": "",
            "nth": "After how many “fails several times in a row” is told, once.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("tags", [])
        flow: Any = self.fields["flow"]
        flow.empty_label = "All flows"
        kind: Any = self.fields["kind"]
        kind.choices = [("", "Choose"), *Channel.Kind.choices]

    def clean(self) -> dict[str, Any]:
        """The target fits what it is sent by."""
        cleaned = super().clean() or {}
        kind, target = cleaned.get("kind"), cleaned.get("target", "").strip()
        if not target or not kind:
            return cleaned
        try:
            if kind == Channel.Kind.EMAIL:
                cleaned["target"] = ", ".join(self._addresses(target))
            else:
                split(target)
                resolve(target, private=settings.NOTIFY_PRIVATE, allowed=settings.NOTIFY_ALLOW)
                cleaned["target"] = target
        except AddressError as error:
            self.add_error("target", str(error))
        except ValidationError as error:
            self.add_error("target", error)
        return cleaned

    def _addresses(self, target: str) -> list[str]:
        found = addresses_of(target)
        if len(found) > MOST_ADDRESSES:
            raise ValidationError(f"At most {MOST_ADDRESSES} addresses; use a mailing list for more.")
        for address in found:
            try:
                validate_email(address)
            except ValidationError as error:
                raise ValidationError(f"{address[:100]} is not an email address.") from error
        return found
