"""The memory of the machine, as each system tells it."""

import ctypes
import math
import os
import sys
from types import SimpleNamespace

import pytest

from robustreg.numerics import memory
from robustreg.numerics.memory import physical_memory


def windows(monkeypatch, kilobytes):
    """A system that tells so many kilobytes; None if it does not tell."""

    def told(pointer):
        pointer._obj.value = kilobytes or 0
        return kilobytes is not None

    kernel = SimpleNamespace(GetPhysicallyInstalledSystemMemory=told)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)


def test_windows_tells_kilobytes(monkeypatch):
    windows(monkeypatch, 16 * 2**20)
    assert physical_memory() == 16 * 2**30


def test_memory_that_is_not_told_is_infinite(monkeypatch):
    windows(monkeypatch, None)
    assert physical_memory() == math.inf
    monkeypatch.setattr(sys, "platform", "other")
    monkeypatch.setattr(memory, "os", SimpleNamespace())
    assert physical_memory() == math.inf


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="another system")
def test_this_machine_has_more_than_a_process_of_it():
    assert 2**27 < physical_memory() < 2**50
