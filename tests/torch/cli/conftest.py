from tests.unit.cli.conftest import run

__all__ = ["run"]
