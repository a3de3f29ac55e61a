# SPDX-License-Identifier: ISC
"""A laboratory on the loopback net: real name servers, real CAs, the real daemon.

Each Lab owns one 127.77.N.0/24, so that several run side by side with the ordinary ports (53, 443).
Everything it starts ends with it, also when the test is killed (PDEATHSIG).
"""
from .core import BUILD, Lab, LabError, Skip, wait_for, free_port
from .ca import Pebble
from .names import Knot, Unbound, Zone
from .daemon import Renewd
from .world import World

__all__ = ["BUILD", "Lab", "LabError", "Skip", "wait_for", "free_port", "Pebble", "Knot", "Unbound", "Zone", "Renewd", "World"]
