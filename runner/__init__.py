"""The runner: jobs, attempts, leases, nodes. It knows nothing of courses and may import none of them."""
