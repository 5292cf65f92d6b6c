"""The only boto3: one file per thing that we keep or send in AWS."""
