"""What hosts and implementers test with: protocol servers, and a kit (no test framework needed)."""
