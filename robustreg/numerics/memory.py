"""How much memory this machine has."""

from __future__ import annotations

import ctypes
import os
import sys


def physical_memory() -> float:
    """Bytes of memory; infinite where the system does not tell."""
    if sys.platform == "win32":
        kilobytes = ctypes.c_ulonglong(0)
        told = ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
        return 1024.0 * kilobytes.value if told else float("inf")
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")
