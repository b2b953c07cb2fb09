"""What every page shows the same way: icons, states, times, durations, long names."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from django import template
from django.db.models.options import Options
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from runs.logs.ansi import plain
from runs.states import TaskState

register = template.Library()

# A run's states are among these.
STATE_ICONS = {
    TaskState.PENDING: "circle-dashed",
    TaskState.QUEUED: "clock",
    TaskState.RUNNING: "loader-circle",
    TaskState.WAITING: "hourglass",
    TaskState.SUCCEEDED: "circle-check",
    TaskState.FAILED: "circle-x",
    TaskState.SKIPPED: "skip-forward",
    TaskState.CANCELLED: "ban",
    TaskState.REUSED: "recycle",
}
SHORTEST_CUT = 5

# What to do about an empty list of the admin.
EMPTY = {
    "flows.project": "A project is a folder with a dbt project. Add the first one, then an environment for it.",
    "flows.environment": "An environment is a project with one of its dbt targets. Every flow runs on one.",
    "flows.revision": "Sync an environment to see its revisions here.",
    "flows.flow": "A flow is a set of nodes that run in order, on a schedule or when you start it.",
    "nodes.node": "Flows consist of nodes. Add them in the flow editor.",
    "nodes.link": "A link makes one node run after another. Most of the order follows from the models themselves.",
    "nodes.connection": "A connection defines a data source. Connection nodes load it.",
    "nodes.change": "Every change to a flow, its nodes and its links is recorded here.",
    "runs.run": "Start a flow or give it a schedule to see its runs here.",
    "runs.taskrun": "Start a flow to see the tasks of its runs here.",
    "runs.pool": "A pool limits how many tasks use a resource at the same time.",
    "auth.group": "A group is a set of permissions for its users.",
}


@register.simple_tag
@lru_cache(maxsize=256)  # a list has hundreds of them
def icon(name: str) -> SafeString:
    """An icon of the sprite, by Lucide's name; frontend/icons.txt lists those that are in it."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("vendor/icons.svg"),
        name,
    )


@register.simple_tag
@lru_cache(maxsize=32)
def state_badge(state: str) -> SafeString:
    """A state of a run or task run: icon, word and colour."""
    task_state = TaskState(state)
    return format_html(
        '<span class="badge state-{}">{}{}</span>', task_state, icon(STATE_ICONS[task_state]), task_state.capitalize()
    )


@register.simple_tag
def state_icon(state: str) -> SafeString:
    """The icon of a state alone, where its word stands beside it or is said otherwise."""
    return icon({str(named): name for named, name in STATE_ICONS.items()}.get(state, "circle-dashed"))


@register.filter
def without_ansi(text: str) -> str:
    """A piece of a log without the codes that colour a terminal, and with what cannot be seen written out."""
    return plain(text)


@register.simple_tag
def when(moment: datetime | None) -> SafeString:
    """A time. static/js/base.js shows it in the viewer's zone; without JavaScript it is UTC, and says so."""
    if moment is None:
        return SafeString("")
    utc = moment.astimezone(UTC)
    return format_html(
        '<time class="when" datetime="{}">{} UTC</time>',
        utc.isoformat(timespec="seconds"),
        utc.strftime("%Y-%m-%d %H:%M"),
    )


@register.simple_tag
def duration(seconds: float | None) -> str:
    """The two largest units that say something: "0.4 s", "3 m 12 s", "2 h 5 m", "4 d 1 h"; empty for None."""
    if seconds is None:
        return ""
    if seconds < 9.95:  # from there on it rounds to ten
        return f"{max(seconds, 0):.1f} s"
    minutes, rest = divmod(int(seconds + 0.05), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} m {rest} s"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} m"


@register.simple_tag
def took(start: datetime | None, end: datetime | None) -> str:
    """How long it was from one time to another; empty while one of them is not known."""
    return duration((end - start).total_seconds()) if start and end else ""


@register.filter
def without_colon(label: str) -> SafeString:
    """A form's label without the colon that Django ends it with."""
    return mark_safe(str(label).replace(":</label>", "</label>").replace(":</legend>", "</legend>"))  # noqa: S308 - made by Django


@register.filter
def cut_middle(name: object, most: int = 40) -> SafeString:
    """A name of `most` characters at most, cut in the middle: its end tells names of one family apart.

    The whole name is in the title, and is what is copied (static/js/base.js puts it on the clipboard).
    """
    return _cut(str(name), most, lambda text: format_html("{}", text))


@register.filter
def cut_in_lines(name: object, most: int = 40) -> SafeString:
    """As cut_middle, for narrow columns: what does not fit goes on below after one of _ . / instead of anywhere."""
    return _cut(str(name), most, _with_breaks)


def _cut(whole: str, most: int, show: Callable[[str], SafeString]) -> SafeString:
    most = max(most, SHORTEST_CUT)
    if len(whole) <= most:
        return show(whole)
    tail = (most - 1) // 2
    short = f"{whole[: most - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{whole[-tail:]}"
    return format_html('<span class="shortened" title="{}" data-whole="{}">{}</span>', whole, whole, show(short))


def _with_breaks(text: str) -> SafeString:
    parts = ((part,) for part in re.split(r"(?<=[_./])(?=[^_./])", text))
    return format_html_join(SafeString("<wbr>"), "{}", parts)


@register.simple_tag
def empty_hint(opts: Options) -> str:
    """What to do next where a list of the admin has no rows; empty where nothing is known about them."""
    return EMPTY.get(opts.label_lower, "")
