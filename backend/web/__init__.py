"""What Label Studio, a browser and Prometheus call, over HTTP."""
