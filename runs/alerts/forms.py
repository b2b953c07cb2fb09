"""The form of a channel: what cannot be sent to is said where it was typed."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from flows.forms import TagsField
from flows.infra.network.deadline import Deadline
from flows.infra.network.guard import Guard
from flows.infra.network.policy import AddressError
from flows.infra.network.posting import host_of
from runs.alerts.kinds import TELLABLE, EventKind
from runs.alerts.models import Channel
from runs.alerts.sending import addresses_of
from runs.alerts.targets import policy, problem_with_address

MOST_ADDRESSES = 50
LOOK_UP_S = 5.0


class ChannelForm(forms.ModelForm):
    """Where messages go, and which."""

    events = forms.MultipleChoiceField(
        label="Events",
        choices=[(kind.value, kind.label) for kind in TELLABLE],
        widget=forms.CheckboxSelectMultiple,
        initial=[EventKind.FAILURE, EventKind.RECOVERED, EventKind.LATE],
        error_messages={"required": "Choose at least one."},
    )
    tags = TagsField(
        required=False,
        label="Only flows with tags",
        help_text="Separated by commas. A flow needs at least one of them.",
    )

    target = forms.CharField(
        label="To",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "autocomplete": "off"}),
        help_text="Email: addresses, separated by commas. Slack: the URL of an incoming webhook. Webhook: a URL. "
        "URLs are stored encrypted and never shown again.",
    )

    class Meta:
        model = Channel
        fields: ClassVar = ["name", "kind", "flow", "tags", "events", "nth", "enabled"]
        labels: ClassVar = {"flow": "Only this flow", "enabled": "Enabled"}
        help_texts: ClassVar = {
            "flow": "",
            "nth": "Number of failures before “fails several times in a row” is sent, once.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("tags", [])
        flow: Any = self.fields["flow"]
        flow.empty_label = "All flows"
        kind: Any = self.fields["kind"]
        kind.choices = [("", "Choose"), *Channel.Kind.choices]
        self._keeps = False
        if self.instance.pk and self.instance.kind == Channel.Kind.EMAIL:
            self.initial["target"] = self.instance.target
        elif self.instance.pk:
            self._describe_kept()

    def _describe_kept(self) -> None:
        """Say of a URL what may be said, or that it cannot be read any more."""
        target = self.fields["target"]
        if wrong := problem_with_address(self.instance):
            target.help_text = (
                f"dex cannot read the stored address: {wrong}. Enter it again, or restore the encryption keys."
            )
            return
        self._keeps, target.required = True, False
        target.help_text = (
            f"Stored encrypted and never shown again: {self.instance.target} Leave empty to keep it. "
            "A different kind needs a new address."
        )

    @property
    def address(self) -> str:
        """Where it leads from now on, as typed; empty: it stays as it is."""
        return str(self.cleaned_data.get("target", ""))

    def clean(self) -> dict[str, Any]:
        """The target fits what it is sent by."""
        cleaned = super().clean() or {}
        kind, target = cleaned.get("kind"), cleaned.get("target", "").strip()
        if not target and self._keeps and kind == Channel.Kind.EMAIL:
            self.add_error("target", "Enter the email addresses.")
        if not target or not kind:
            return cleaned
        try:
            if kind == Channel.Kind.EMAIL:
                cleaned["target"] = ", ".join(self._addresses(target))
            else:
                self._look_up(host_of(target))
                cleaned["target"] = target
        except AddressError as error:
            self.add_error("target", str(error))
        except ValidationError as error:
            self.add_error("target", error)
        return cleaned

    def _look_up(self, host: str) -> None:
        """Raises AddressError for a host that dex does not post to, or that nobody finds within a few seconds."""
        try:
            Deadline(LOOK_UP_S).wait_for(lambda: Guard(policy()).addresses(host))
        except TimeoutError as error:
            raise AddressError(f"The host name could not be resolved within {LOOK_UP_S:g} s.") from error

    def _addresses(self, target: str) -> list[str]:
        addresses = addresses_of(target)
        if len(addresses) > MOST_ADDRESSES:
            raise ValidationError(f"At most {MOST_ADDRESSES} addresses are allowed; use a mailing list for more.")
        for address in addresses:
            try:
                validate_email(address)
            except ValidationError as error:
                raise ValidationError(f"{address[:100]} is not an email address.") from error
        return addresses
