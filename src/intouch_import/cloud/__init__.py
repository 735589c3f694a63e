"""What all cloud locations share: retries, HTTP sessions, and checks of server addresses."""
