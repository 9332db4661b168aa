"""What every service process needs: settings, logs, runtime, durable files and failpoints."""
