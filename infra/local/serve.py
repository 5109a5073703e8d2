"""Runs the local cloud so that it dies with the process that started it, however
that one ends: Linux sends SIGTERM to this process when its parent is gone."""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1

parent = int(sys.argv[1])
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if os.getppid() != parent:
    sys.exit("the parent is gone already")
sys.argv = ["ministack"]
runpy.run_module("ministack", run_name="__main__", alter_sys=True)
