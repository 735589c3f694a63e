"""What all cloud drives share: waiting and trying again, and the addresses of servers."""
