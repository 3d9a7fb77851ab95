"""What is kept: tables, and one module of functions for each family of them. Functions take a connection;
who calls them decides where a transaction begins and ends."""
