"""Forms of projects and flows: what is wrong is said beside the field where it was typed."""

from datetime import datetime, time, timedelta
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.utils import timezone
from django.utils.text import capfirst

from flows.models import Flow
from flows.parameters import TYPES, ParameterError, check_declarations
from flows.retry_policy import KINDS, problem_of_kinds
from flows.scheduling.cron import EVERY_HOURS, EVERY_MINUTES, WEEKDAYS, CronError, Preset, normalize, preset_of, zone_of
from flows.scheduling.follows import circle_said, circle_through
from flows.scheduling.unattended import refusal, refusal_of_planned


def _count(number: int, unit: str) -> str:
    return f"every {unit}" if number == 1 else f"every {number} {unit}s"


class DeclarationsField(forms.JSONField):
    """JSON; what Python's reader gives up on is a mistake of the text too, not of the site."""

    def to_python(self, value: Any) -> Any:
        """The value; a text that is too deep or too large is a mistake at the field."""
        try:
            return super().to_python(value)
        except (RecursionError, ValueError) as error:  # nested too deep; a number of thousands of digits
            raise ValidationError(self.error_messages["invalid"], code="invalid") from error

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, to be shown again."""
        try:
            return super().bound_data(data, initial)
        except (RecursionError, ValueError):
            return InvalidJSONInput(data)  # shown as it was typed


class ByKindWidget(forms.Widget):
    """A row of inputs for each kind of task, as `<name>_<kind>_<setting>`."""

    template_name = "flows/_by_kind.html"
    settings: ClassVar = {
        "retries": "Retries",
        "retry_delay": "Seconds before a retry",
        "retry_on": "Retries after",
        "timeout": "Time limit per task, in seconds",
    }

    def value_from_datadict(self, data: Any, files: Any, name: str) -> dict[str, dict[str, str]]:
        """What is typed, without what is left empty."""
        typed = {
            kind: {setting: text for setting in self.settings if (text := data.get(f"{name}_{kind}_{setting}"))}
            for kind in KINDS
        }
        return {kind: policy for kind, policy in typed.items() if policy}

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Whether the form has no such field."""
        return not any(f"{name}_{kind}_{setting}" in data for kind in KINDS for setting in self.settings)

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """With `rows`: (label, cells) for each kind."""
        context = super().get_context(name, None, attrs)
        given = value if isinstance(value, dict) else {}
        context["headings"] = list(self.settings.values())
        context["choices"] = [("", "Same as above"), ("any", "Any failure"), ("transient", "Temporary failures")]
        context["choices"] += [("matching", "The messages above")]
        context["rows"] = [
            (
                label,
                [
                    (f"{name}_{kind}_{setting}", setting, heading, given.get(kind, {}).get(setting, ""))
                    for setting, heading in self.settings.items()
                ],
            )
            for kind, label in KINDS.items()
        ]
        context["disabled"] = bool(attrs and attrs.get("disabled"))
        return context


class ByKindField(forms.Field):
    """Retries and limits of time for kinds of tasks, {"seed": {"retries": 2}}."""

    widget = ByKindWidget

    def to_python(self, value: Any) -> dict[str, dict[str, Any]]:
        """Numbers as numbers; what is none stays as it was typed, for `validate` to say."""
        return {
            kind: {
                setting: int(text) if str(text).strip().isdecimal() and len(str(text)) < 12 else text
                for setting, text in policy.items()
            }
            for kind, policy in (value or {}).items()
        }

    def validate(self, value: Any) -> None:
        """Check the policy of every kind."""
        super().validate(value)
        if wrong := problem_of_kinds(value):
            raise ValidationError(wrong)


class FlowForm(forms.ModelForm):
    """The settings of a flow."""

    by_kind = ByKindField(
        required=False,
        label=capfirst(Flow._meta.get_field("by_kind").verbose_name),
        help_text=Flow._meta.get_field("by_kind").help_text,
    )
    parameters = DeclarationsField(
        required=False,
        initial=list,
        help_text=Flow._meta.get_field("parameters").help_text + " Types: " + ", ".join(TYPES) + ".",
    )

    class Meta:
        model = Flow
        fields: ClassVar = [
            "name",
            "description",
            "environment",
            "retries",
            "retry_delay",
            "retry_on",
            "retry_patterns",
            "timeout",
            "by_kind",
            "allow_empty",
            "parameters",
        ]

    def clean_parameters(self) -> list[dict[str, Any]]:
        """The declared parameters."""
        declared = self.cleaned_data["parameters"] or []
        try:
            check_declarations(declared)
        except ParameterError as error:
            raise ValidationError(str(error)) from error
        if planned := refusal_of_planned(self.instance, declared):
            raise ValidationError(planned)
        return declared

    def clean(self) -> dict[str, Any]:
        """What starts by itself has a value for each parameter; said beside the parameters or where else it began."""
        cleaned = super().clean() or {}
        if "parameters" in cleaned:
            cron, follows = self.starts_by_itself(cleaned)
            if message := refusal(cleaned["parameters"], cron=cron, follows=follows):
                self.add_error(self.where_it_began(cleaned), message)
        return cleaned

    def starts_by_itself(self, cleaned: dict[str, Any]) -> tuple[str, bool]:
        """The schedule, and whether the flow starts after others."""
        return self.instance.cron, bool(self.instance.pk and self.instance.follows.exists())

    def where_it_began(self, cleaned: dict[str, Any]) -> str:
        """The field beside which it is said that nobody gives a value to a parameter."""
        return "parameters"


class TagsField(forms.CharField):
    """Words, separated by commas or lines."""

    def prepare_value(self, value: Any) -> Any:
        """A list as typed."""
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """The words, each once, in the order typed."""
        words = [word.strip() for word in (value or "").replace("\n", ",").split(",")]
        return list(dict.fromkeys(word[:60] for word in words if word))[:20]


class SettingsForm(FlowForm):
    """The first step of making a flow: what it is called, where it runs, and when.

    The schedule is typed in one of two ways, dropdowns or a cron expression; both are kept as `Flow.cron`.
    """

    version = forms.IntegerField(widget=forms.HiddenInput, required=False, min_value=0)
    tags = TagsField(required=False, help_text="Words to find it by, separated by commas, such as a team name.")
    write_cron = forms.BooleanField(label="Write cron expression", required=False)
    frequency = forms.ChoiceField(
        label="Runs every",
        required=False,
        choices=[("", "No schedule (manual)"), *((name, name.capitalize()) for name in ("minute", "hour"))]
        + [(name, name.capitalize()) for name in ("day", "week", "month")],
    )
    every_minutes = forms.TypedChoiceField(
        label="Interval",
        coerce=int,
        empty_value=None,
        required=False,
        choices=[(n, _count(n, "minute")) for n in EVERY_MINUTES],
    )
    every_hours = forms.TypedChoiceField(
        label="Interval",
        coerce=int,
        empty_value=None,
        required=False,
        choices=[(n, _count(n, "hour")) for n in EVERY_HOURS],
    )
    minute = forms.IntegerField(label="Minutes past the hour", min_value=0, max_value=59, required=False)
    time = forms.TimeField(
        label="Time",
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        error_messages={"invalid": "Enter a time such as 02:00."},
    )
    weekdays = forms.TypedMultipleChoiceField(
        label="On", coerce=int, required=False, choices=list(enumerate(WEEKDAYS)), widget=forms.CheckboxSelectMultiple
    )
    day = forms.TypedChoiceField(
        label="Day of the month",
        coerce=int,
        empty_value=None,
        required=False,
        choices=[*((n, str(n)) for n in range(1, 32)), (32, "Last day")],
    )
    cron = forms.CharField(
        label="Cron expression",
        required=False,
        strip=True,
        max_length=1000,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off", "placeholder": "0 2 * * *"}),
        help_text="Minute, hour, day of month, month, day of week. 0 2 * * * is daily at 02:00.",
    )
    time_zone = forms.CharField(
        label="Time zone",
        required=False,
        max_length=60,
        widget=forms.TextInput(attrs={"list": "zones", "spellcheck": "false"}),
    )

    spread = forms.TypedChoiceField(
        label="Start within",
        coerce=int,
        empty_value=None,
        required=False,
        choices=[(0, "At once"), *((n, f"{n} minutes after") for n in (2, 5, 10, 15, 30, 60))],
        help_text="After the due time. Each flow gets its own fixed delay, so that flows due at the same minute do "
        "not all start at once.",
    )
    after = forms.ModelMultipleChoiceField(
        Flow.objects.none(),
        label="Start after other flows",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="This flow starts when each of these has succeeded since its last start, with or without a schedule.",
    )

    class Meta(FlowForm.Meta):
        fields: ClassVar = [
            *(*FlowForm.Meta.fields, "tags", "cron", "time_zone", "paused", "missed", "overlap", "spread"),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        flow = kwargs.get("instance")
        super().__init__(*args, **kwargs)
        self.initial.setdefault("version", getattr(flow, "version", 0))
        self.initial.setdefault("tags", [])
        self._cron_before = cron = getattr(flow, "cron", "")
        preset = preset_of(cron) if cron else None
        self.initial.setdefault("write_cron", bool(cron and preset is None))
        shown = preset or Preset()
        self.initial |= {  # type: ignore[operator]
            "frequency": preset.frequency if preset else "",
            "every_minutes": shown.every if shown.frequency == "minute" else 15,
            "every_hours": shown.every if shown.frequency == "hour" else 1,
            "minute": shown.minute if shown.frequency == "hour" else 0,
            "time": time(shown.hour, shown.minute) if preset else time(2, 0),
            "weekdays": list(shown.weekdays),
            "day": shown.day,
        }
        environment: Any = self.fields["environment"]
        environment.empty_label = "Choose an environment"
        first_two = list(environment.queryset[:2])
        if flow is None and len(first_two) == 1 and not self.initial.get("environment"):
            self.initial["environment"] = first_two[0]
        others = Flow.objects.exclude(pk=flow.pk) if flow else Flow.objects.all()
        self.fields["after"].queryset = others  # type: ignore[attr-defined]
        self.initial.setdefault("after", list(flow.follows.values_list("up_id", flat=True)) if flow else [])
        spread: Any = self.fields["spread"]
        typed = self.initial.get("spread", 0)
        if typed not in dict(spread.choices):  # by import or in the admin
            spread.choices = [*spread.choices, (typed, f"{typed} minutes after")]
        self.fields["description"].widget.attrs["rows"] = 3
        self.fields["parameters"].widget.attrs["rows"] = 4
        self.fields["retry_patterns"].widget.attrs["rows"] = 3
        for name in ("retries", "retry_delay", "retry_on", "missed", "overlap"):
            self.fields[name].required = False

    def clean_after(self) -> list[Flow]:
        """Flows that do not, over others, start after this one."""
        ups = list(self.cleaned_data["after"])
        if self.instance.pk and (circle := circle_through(self.instance, ups)):
            raise ValidationError(circle_said(circle))
        return ups

    def clean_time_zone(self) -> str:
        """A zone of the IANA database; UTC when nothing is typed."""
        name = str(self.cleaned_data["time_zone"] or "UTC")
        try:
            zone_of(name)
        except CronError as error:
            raise ValidationError(str(error)) from error
        return name

    def clean(self) -> dict[str, Any]:
        """The schedule, whichever way it was typed, as `cron`; what is left empty has its default."""
        given = self.cleaned_data
        for name in ("retries", "retry_delay", "retry_on", "missed", "overlap", "spread"):
            if name not in self.errors and given.get(name) in (None, ""):
                given[name] = getattr(Flow(), name)
        given["cron"] = self._cron(given)
        return super().clean()

    def starts_by_itself(self, cleaned: dict[str, Any]) -> tuple[str, bool]:
        """As it is typed."""
        return str(cleaned.get("cron") or ""), bool(cleaned.get("after"))

    def where_it_began(self, cleaned: dict[str, Any]) -> str:
        """Beside the schedule or the flows before it where the parameters have been there for long."""
        if not self.instance.pk or "parameters" in self.changed_data:
            return "parameters"
        if cleaned.get("cron") and cleaned["cron"] != self._cron_before:
            return "cron" if cleaned.get("write_cron") else "frequency"
        return "after" if "after" in self.changed_data and not cleaned.get("cron") else "parameters"

    def _cron(self, cleaned: dict[str, Any]) -> str:
        if cleaned.get("write_cron"):
            try:
                return normalize(cleaned.get("cron") or "")
            except CronError as error:
                self.add_error("cron", str(error))
                return ""
        frequency: Any = cleaned.get("frequency") or ""
        if not frequency:
            return ""
        at = cleaned.get("time")
        if frequency in ("day", "week", "month") and at is None:
            if "time" not in self.errors:
                self.add_error("time", "Choose the time of day.")
            return ""
        if frequency == "week" and not cleaned.get("weekdays"):
            if "weekdays" not in self.errors:
                self.add_error("weekdays", "Choose at least one day of the week.")
            return ""
        every = cleaned.get("every_minutes" if frequency == "minute" else "every_hours") or 1
        preset = Preset(
            frequency=frequency,
            every=every,
            minute=(cleaned.get("minute") or 0) if frequency == "hour" else (at.minute if at else 0),
            hour=at.hour if at else 0,
            weekdays=tuple(cleaned.get("weekdays") or ()),
            day=cleaned.get("day") or 1,
        )
        return preset.cron


class TokenForm(forms.Form):
    """What a new token of the API is called, and for how long it is good."""

    name = forms.CharField(
        max_length=100,
        help_text="What uses it, such as a script or a server",
        error_messages={"required": "Enter what will use the token."},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    days = forms.TypedChoiceField(
        label="Expires", coerce=int, help_text="It is also revoked when you change your password."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        most = settings.TOKEN_MAX_DAYS
        offered = sorted({*(days for days in (30, 90, 365) if days < most), most})
        days: Any = self.fields["days"]
        days.choices = [(str(each), "In a year" if each == 365 else f"In {each:,} days") for each in offered]
        self.initial["days"] = str(max(each for each in offered if each <= max(90, offered[0])))

    @property
    def expires_at(self) -> datetime:
        """When the token ends, counted from now."""
        return timezone.now() + timedelta(days=self.cleaned_data["days"])
