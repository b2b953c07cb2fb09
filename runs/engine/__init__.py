"""Moves runs forward: releases, claims, executes, settles, sweeps, reaps."""
