"""The web application over an installation in memory."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from backend.web.app import create_app
from tests.fakes.installation import Installation


@pytest.fixture
def installation() -> Installation:
    return Installation()


@pytest.fixture
def client(installation: Installation) -> FlaskClient:
    return create_app(installation.parts()).test_client()
