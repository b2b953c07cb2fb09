"""URLs of a flow's settings and editor, its nodes, its history, of variables, and the catalogue of models."""

from django.urls import path

from nodes.views import connections, editor, history, models, nodes, settings, variables

app_name = "nodes"
urlpatterns = [
    path("flows/new/", settings.new_flow, name="new_flow"),
    path("flows/schedule/", settings.schedule, name="schedule"),
    path("flows/<id:flow_id>/settings/", settings.settings, name="settings"),
    path("flows/<id:flow_id>/pause/", settings.pause, name="pause"),
    path("flows/<id:flow_id>/delete/", settings.delete, name="delete_flow"),
    path("flows/<id:flow_id>/duplicate/", settings.duplicate, name="duplicate_flow"),
    path("flows/import/", history.import_yaml, name="import"),
    path("flows/<id:flow_id>/", editor.editor, name="editor"),
    path("flows/<id:flow_id>/canvas/", editor.canvas, name="canvas"),
    path("flows/<id:flow_id>/preview/", nodes.show_preview, name="preview"),
    path("flows/<id:flow_id>/suggest/", nodes.suggest, name="suggest"),
    path("flows/<id:flow_id>/nodes/new/<slug:kind>/", nodes.new, name="new"),
    path("flows/<id:flow_id>/nodes/<id:node_id>/", nodes.node, name="node"),
    path("flows/<id:flow_id>/nodes/<id:node_id>/components/", nodes.components, name="components"),
    path("flows/<id:flow_id>/nodes/<id:node_id>/delete/", nodes.delete, name="delete"),
    path("flows/<id:flow_id>/history/", history.history, name="history"),
    path("flows/<id:flow_id>/history/<id:number>/", history.version, name="version"),
    path("flows/<id:flow_id>/history/<id:number>/restore/", history.restore, name="restore"),
    path("flows/<id:flow_id>/yaml/", history.as_yaml, name="yaml"),
    path("connections/", connections.connections, name="connections"),
    path("connections/new/", connections.choose, name="connection_new"),
    path("connections/new/<slug:connector>/", connections.new, name="connection_settings"),
    path("connections/<id:connection_id>/", connections.connection, name="connection"),
    path("connections/<id:connection_id>/tables/", connections.tables, name="connection_tables"),
    path("connections/<id:connection_id>/sources/", connections.sources, name="connection_sources"),
    path("connections/<id:connection_id>/accept/", connections.accept, name="connection_accept"),
    path("connections/<id:connection_id>/delete/", connections.delete, name="connection_delete"),
    path("variables/", variables.variables, name="variables"),
    path("variables/new/", variables.new_variable, name="new_variable"),
    path("variables/<id:variable_id>/", variables.variable, name="variable"),
    path("variables/<id:variable_id>/delete/", variables.delete, name="delete_variable"),
    path("models/", models.catalogue, name="models"),
    path("models/<path:unique_id>/graph/", models.lineage, name="lineage"),
    path("models/<path:unique_id>/", models.model, name="model"),
]
