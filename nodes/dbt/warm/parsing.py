"""What parsing a project needs; importing this module does it."""

from nodes.dbt.warm import build_schemas

_RESOURCES = "dbt.artifacts.resources.v1"
build_schemas(
    {
        f"{_RESOURCES}.components": ("Contract",),
        f"{_RESOURCES}.config": ("TestConfig",),
        f"{_RESOURCES}.exposure": ("ExposureConfig",),
        f"{_RESOURCES}.model": ("ModelConfig",),
        f"{_RESOURCES}.seed": ("SeedConfig",),
        f"{_RESOURCES}.snapshot": ("SnapshotConfig",),
        f"{_RESOURCES}.source_definition": ("SourceConfig",),
        f"{_RESOURCES}.unit_test_definition": ("UnitTestConfig",),
        "dbt.contracts.graph.nodes": ("ModelNode", "SeedNode", "SnapshotNode", "SingularTestNode", "GenericTestNode"),
        "dbt.contracts.graph.unparsed": (
            *("UnparsedModelUpdate", "UnparsedNodeUpdate", "UnparsedMacroUpdate", "UnparsedExposure"),
            *("UnparsedSourceDefinition", "UnparsedUnitTest"),
        ),
    }
)
