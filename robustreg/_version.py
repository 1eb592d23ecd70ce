__version__ = "0.1.0"
# Read the Docs leads /page/ to the default version of the site.
PAGES = "https://robustreg.readthedocs.io/page/"
