"""URLs of the pages of API tokens and of pushes to a project's repository."""

from django.urls import path

from flows import views

app_name = "flows"
urlpatterns = [
    path("tokens/", views.tokens, name="tokens"),
    path("projects/<id:project_id>/pushes/", views.pushes, name="pushes"),
    path("tokens/<id:token_id>/revoke/", views.revoke_token, name="revoke_token"),
]
