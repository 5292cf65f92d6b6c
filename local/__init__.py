"""What a person runs on a laptop: stand-ins for AWS, Twilio and OpenAI, and tools around the application."""
