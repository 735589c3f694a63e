"""What all cloud locations share: retries, and checks of server addresses."""
