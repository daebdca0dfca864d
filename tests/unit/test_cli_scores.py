"""`prelabel scores` on the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.services.test_learning import Learner
from tests.unit.test_cli_verifications import prelabel
