"""For clients that send prepared requests, where `requests` does not look at REQUESTS_CA_BUNDLE: what they trust by default is the test's certificate."""

import os

import certifi

certifi.where = lambda: os.environ["REQUESTS_CA_BUNDLE"]
