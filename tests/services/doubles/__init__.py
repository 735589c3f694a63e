"""Servers that speak the protocols of Dropbox and of Microsoft Graph, on the loopback interface of this machine.

They share no code with the package, so that a mistake in the package is not repeated here.
"""
