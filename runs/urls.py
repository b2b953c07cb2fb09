"""URLs of what happens to flows: the list with their latest runs, and starting them."""

from django.urls import path

from runs import due, probing, renewing, syncing, trials, views
from runs.calendar import views as calendar_views
from runs.fingerprints import views as failure_views
from runs.listing import views as listing
from runs.logview import views as log_views
from runs.notify import views as alert_views
from runs.watch import views as watch

app_name = "runs"
urlpatterns = [
    path("flows/", views.flows, name="flows"),
    path("calendar/", calendar_views.calendar, name="calendar"),
    path("flows/bulk/", views.bulk, name="bulk"),
    path("flows/<int:flow_id>/run/", views.start, name="start"),
    path("flows/<int:flow_id>/due/", due.due, name="due"),
    path("flows/<int:flow_id>/plan/", due.plan, name="plan"),
    path("flows/<int:flow_id>/due/<int:tick_id>/withdraw/", due.withdraw, name="withdraw"),
    path("flows/<int:flow_id>/states/", views.states, name="states"),
    path("environments/<int:environment_id>/sync/", syncing.sync_state, name="sync"),
    path("runs/bulk/", listing.bulk, name="bulk_runs"),
    path("runs/<int:run_id>/", watch.run_page, name="run"),
    path("runs/<int:run_id>/live/", watch.live, name="live"),
    path("runs/<int:run_id>/graph/", watch.picture, name="picture"),
    path("runs/<int:run_id>/cancel/", watch.cancel, name="cancel"),
    path("runs/<int:run_id>/rerun/", watch.rerun, name="rerun"),
    path("runs/<int:run_id>/compare/<int:other_id>/", watch.comparison, name="compare"),
    path("runs/<int:run_id>/tasks/<int:task_run_id>/", watch.task, name="task"),
    path("runs/<int:run_id>/tasks/<int:task_run_id>/cancel/", watch.cancel_task, name="cancel_task"),
    path("runs/<int:run_id>/tasks/<int:task_run_id>/log/<int:fence>/", log_views.log, name="log"),
    path("runs/<int:run_id>/tasks/<int:task_run_id>/log/<int:fence>/tail/", log_views.tail, name="log_tail"),
    path("runs/<int:run_id>/tasks/<int:task_run_id>/log/<int:fence>/text/", log_views.download, name="log_download"),
    path("connections/<int:connection_id>/ask/<slug:what>/", probing.ask_source, name="ask"),
    path("connections/probes/<int:probe_id>/", probing.probe, name="probe"),
    path("flows/<int:flow_id>/environment/", renewing.renewal, name="renew"),
    path("flows/<int:flow_id>/try/", trials.try_once, name="try"),
    path("runs/<int:run_id>/trial/", trials.trial, name="trial"),
    path("failures/", failure_views.failures, name="failures"),
    path("failures/<int:fingerprint_id>/", failure_views.failure, name="failure"),
    path("alerts/", alert_views.alerts, name="alerts"),
    path("alerts/new/", alert_views.new, name="alert_new"),
    path("alerts/<int:channel_id>/", alert_views.alert, name="alert"),
    path("alerts/<int:channel_id>/test/", alert_views.test, name="alert_test"),
    path("alerts/<int:channel_id>/secret/", alert_views.secret, name="alert_secret"),
    path("alerts/<int:channel_id>/delete/", alert_views.delete, name="alert_delete"),
    path("alerts/messages/<int:delivery_id>/again/", alert_views.again, name="alert_again"),
]
