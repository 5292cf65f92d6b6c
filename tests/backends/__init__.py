"""What stands in for AWS behind the real adapters in tests.

locked_moto      moto in this process, which answers one request at a time
dynamodb_local   AWS's own DynamoDB Local, in a process of its own
"""
