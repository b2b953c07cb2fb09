"""URLs of what happens to flows: the list with their latest runs, and starting them."""

from django.urls import path

from runs import views

app_name = "runs"
urlpatterns = [
    path("flows/", views.flows, name="flows"),
    path("flows/bulk/", views.bulk, name="bulk"),
    path("flows/<int:flow_id>/run/", views.start, name="start"),
    path("flows/<int:flow_id>/due/", views.due, name="due"),
    path("flows/<int:flow_id>/states/", views.states, name="states"),
]
