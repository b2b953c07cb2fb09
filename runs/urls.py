"""URLs of what happens to flows: the list with their latest runs, and starting them."""

from django.urls import path

from runs.pages import alerts as alert_views
from runs.pages import (
    connection_checks,
    dbt_runtime,
    due_times,
    flows,
    script_tests,
    syncing,
    virtualenv_renewal,
    warehouse_checks,
)
from runs.pages import failures as failure_views
from runs.pages import log as log_views
from runs.pages.calendar import views as calendar_views
from runs.pages.run_detail import views as run_detail
from runs.pages.run_list import views as run_list

app_name = "runs"
urlpatterns = [
    path("flows/", flows.flows, name="flows"),
    path("calendar/", calendar_views.calendar, name="calendar"),
    path("flows/bulk/", flows.bulk, name="bulk"),
    path("flows/<id:flow_id>/run/", flows.start, name="start"),
    path("flows/<id:flow_id>/due/", due_times.due, name="due"),
    path("flows/<id:flow_id>/plan/", due_times.plan, name="plan"),
    path("flows/<id:flow_id>/due/<id:tick_id>/withdraw/", due_times.withdraw, name="withdraw"),
    path("flows/<id:flow_id>/states/", flows.states, name="states"),
    path("environments/<id:environment_id>/sync/", syncing.sync_state, name="sync"),
    path("environments/<id:environment_id>/test/", warehouse_checks.check_warehouse, name="check_warehouse"),
    path("environments/<id:environment_id>/tested/", warehouse_checks.warehouse_check, name="warehouse_check"),
    path("projects/<id:project_id>/dbt/", dbt_runtime.dbt_runtime, name="dbt_runtime"),
    path("projects/<id:project_id>/dbt/state/", dbt_runtime.state, name="dbt_runtime_state"),
    path("runs/bulk/", run_list.bulk, name="bulk_runs"),
    path("runs/<id:run_id>/", run_detail.run_page, name="run"),
    path("runs/<id:run_id>/live/", run_detail.live, name="live"),
    path("runs/<id:run_id>/graph/", run_detail.graph, name="graph"),
    path("runs/<id:run_id>/cancel/", run_detail.cancel, name="cancel"),
    path("runs/<id:run_id>/rerun/", run_detail.rerun, name="rerun"),
    path("runs/<id:run_id>/compare/<id:other_id>/", run_detail.comparison, name="compare"),
    path("runs/<id:run_id>/tasks/<id:task_run_id>/", run_detail.task, name="task"),
    path("runs/<id:run_id>/tasks/<id:task_run_id>/cancel/", run_detail.cancel_task, name="cancel_task"),
    path("runs/<id:run_id>/tasks/<id:task_run_id>/log/<id:fence>/", log_views.log, name="log"),
    path("runs/<id:run_id>/tasks/<id:task_run_id>/log/<id:fence>/tail/", log_views.tail, name="log_tail"),
    path("runs/<id:run_id>/tasks/<id:task_run_id>/log/<id:fence>/text/", log_views.download, name="log_download"),
    path(
        "connections/<id:connection_id>/check/<slug:what>/",
        connection_checks.check_connection,
        name="check_connection",
    ),
    path("connections/checks/<id:check_id>/", connection_checks.connection_check, name="connection_check"),
    path("flows/<id:flow_id>/virtualenv/", virtualenv_renewal.renewal, name="virtualenv"),
    path("flows/<id:flow_id>/script-test/", script_tests.start, name="start_script_test"),
    path("runs/<id:run_id>/script-test/", script_tests.script_test, name="script_test"),
    path("failures/", failure_views.failures, name="failures"),
    path("failures/<id:group_id>/", failure_views.failure, name="failure"),
    path("alerts/", alert_views.alerts, name="alerts"),
    path("alerts/new/", alert_views.new, name="alert_new"),
    path("alerts/<id:channel_id>/", alert_views.alert, name="alert"),
    path("alerts/<id:channel_id>/test/", alert_views.test, name="alert_test"),
    path("alerts/<id:channel_id>/secret/", alert_views.secret, name="alert_secret"),
    path("alerts/<id:channel_id>/delete/", alert_views.delete, name="alert_delete"),
    path("alerts/messages/<id:delivery_id>/again/", alert_views.again, name="alert_again"),
]
