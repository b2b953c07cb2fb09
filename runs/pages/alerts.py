"""The pages of alerts: channels, what they sent, and trying them."""

from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.variables.encryption import Unreadable
from runs.alerts import services
from runs.alerts.forms import ChannelForm
from runs.alerts.models import Channel, Delivery

PAGE = 50
LATEST = 10
looks = permission_required("runs.view_channel", raise_exception=True)
changes = permission_required("runs.change_channel", raise_exception=True)


def _channel_or_404(channel_id: int) -> Channel:
    return get_object_or_404(Channel, pk=channel_id)


def place_of(channel: Channel) -> str:
    """Where a channel leads, without the path of a URL: whoever knows Slack's can post there."""
    if channel.kind == Channel.Kind.EMAIL:
        return channel.target
    return urlsplit(channel.target).hostname or ""


@require_safe
@looks
def alerts(request: HttpRequest) -> HttpResponse:
    """All channels, each with what became of its latest message, and the latest messages."""
    latest = Delivery.objects.filter(channel=OuterRef("pk")).order_by("-pk").values("status")[:1]
    rows = Channel.objects.select_related("flow").annotate(latest=Subquery(latest))
    context = {
        "channels": [(row, place_of(row)) for row in rows],
        "deliveries": Delivery.objects.select_related("channel", "run")[:LATEST],
    }
    return render(request, "runs/alerts.html", context)


@sensitive_post_parameters("target")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("runs.add_channel", raise_exception=True)
def new(request: HttpRequest) -> HttpResponse:
    """A new channel."""
    form = ChannelForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and (channel := _saved(form)):
        messages.success(request, f"The channel {channel} was created. Send a test message to check it.")
        return redirect("runs:alert", channel.pk)
    return render(request, "runs/alert.html", {"form": form}, status=422 if form.errors else 200)


@sensitive_post_parameters("target")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@changes
def alert(request: HttpRequest, channel_id: int) -> HttpResponse:
    """One channel: its settings, and everything that it sent."""
    channel = _channel_or_404(channel_id)
    form = ChannelForm(request.POST if request.method == "POST" else None, instance=channel)
    if request.method == "POST" and _saved(form):
        messages.success(request, f"The channel {channel} was saved.")
        return redirect("runs:alert", channel.pk)
    return _page(request, channel, form)


def _saved(form: ChannelForm) -> Channel | None:
    """What a form made of its channel; None with what is wrong noted on it."""
    if not form.is_valid():
        return None
    try:
        return services.save_channel(form.save(commit=False), form.address)
    except Unreadable as error:
        form.add_error("target", f"It cannot be encrypted: {error}.")
    return None


def _page(request: HttpRequest, channel: Channel, form: ChannelForm, secret: str = "") -> HttpResponse:
    sent = Delivery.objects.filter(channel=channel).select_related("run")
    context = {
        "channel": Channel.objects.get(pk=channel.pk),  # as it is, whatever the form says
        "form": form,
        "secret": secret,
        "page": Paginator(sent, PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "runs/alert.html", context, status=422 if form.errors else 200)


@require_POST
@changes
def test(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Send a test message now, and say what came back."""
    channel = _channel_or_404(channel_id)
    row = services.send_test(channel)
    if row.status == Delivery.Status.SENT:
        messages.success(request, "The receiver accepted the test message.")
    elif row.status == Delivery.Status.FAILED:
        messages.error(request, f"The test message did not arrive: {row.last_error}.")
    else:
        messages.warning(request, "The test message is being sent.")
    return redirect("runs:alert", channel.pk)


@never_cache
@require_POST
@changes
def secret(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Make a new signing secret and show it, in this answer and never again."""
    channel = _channel_or_404(channel_id)
    renewed = services.renew_secret(channel)
    return _page(request, channel, ChannelForm(instance=channel), renewed)


@require_POST
@permission_required("runs.delete_channel", raise_exception=True)
def delete(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Remove a channel."""
    channel = _channel_or_404(channel_id)
    services.delete_channel(channel)
    messages.success(request, f"The channel {channel} was deleted.")
    return redirect("runs:alerts")


@require_POST
@changes
def again(request: HttpRequest, delivery_id: int) -> HttpResponse:
    """Send a message once more."""
    row = get_object_or_404(Delivery, pk=delivery_id)
    if services.send_again(row):
        messages.success(request, "Sending the message again.")
    else:
        messages.warning(request, "The message is already waiting to be sent.")
    return redirect("runs:alert", row.channel_id)
