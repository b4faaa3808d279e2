"""`ltq bridge`: from RabbitMQ into its store, in a process of its own."""
