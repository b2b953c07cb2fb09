"""URLs of the API."""

from django.urls import path, re_path

from runs.api import views

app_name = "api"
urlpatterns = [
    path("flows", views.flows_door, name="flows"),
    path("flows/<int:flow_id>", views.flow_door, name="flow"),
    path("flows/<int:flow_id>/runs", views.flow_runs_door, name="flow_runs"),
    path("runs/<int:run_id>", views.run_door, name="run"),
    path("runs/<int:run_id>/tasks", views.tasks_door, name="tasks"),
    path("runs/<int:run_id>/cancel", views.cancel_door, name="cancel"),
    re_path("", views.no_door, name="nothing"),  # programs are told in JSON that an address is not there
]
