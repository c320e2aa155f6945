"""The contract of the loop: every test here runs on stock asyncio and on Batuta."""
