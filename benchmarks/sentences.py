"""Sentences to compare, some near to each other and some far, and text to calibrate with."""

from __future__ import annotations

from importlib.resources import files

SENTENCES = (
    "A man is playing a guitar on the street.",
    "Someone performs music outdoors with a guitar.",
    "The musician tunes her violin before the concert.",
    "The orchestra rehearsed the symphony all morning.",
    "A dog runs across the wet grass after a ball.",
    "A puppy chases a toy in the garden.",
    "The cat sleeps on the warm windowsill.",
    "Two kittens are playing with a piece of string.",
    "The central bank raised interest rates by half a point.",
    "Monetary policy was tightened to bring inflation down.",
    "Shares fell sharply after the company missed its forecast.",
    "The start-up raised money from several investors.",
    "Heavy rain is expected along the coast tonight.",
    "The forecast says there will be storms near the sea.",
    "It has not rained in the valley for three months.",
    "Snow closed the mountain pass for two days.",
    "How do I reset my password?",
    "I forgot my login and need to get back into my account.",
    "Where can I change the language of the website?",
    "My order has not arrived yet, can I get a refund?",
    "The recipe needs two eggs, flour and a little sugar.",
    "Mix the dough and let it rest for an hour before baking.",
    "This restaurant serves the best noodles in town.",
    "She grows tomatoes and beans behind the house.",
    "The team scored in the last minute and won the match.",
    "A late goal decided the football game.",
    "The runner broke the world record in the marathon.",
    "He trains for the swimming championships every day.",
    "The telescope found a planet that orbits a nearby star.",
    "Astronomers discovered a new world outside the solar system.",
    "The spacecraft landed on the far side of the moon.",
    "Researchers measured the speed of light with great care.",
    "The new vaccine protects children against measles.",
    "Doctors recommend immunisation for all infants.",
    "Regular exercise lowers the risk of heart disease.",
    "The patient was treated for a broken arm.",
    "The train to the airport leaves every fifteen minutes.",
    "There is a fast rail link between the city and its airport.",
    "The old bridge was closed for repairs.",
    "They drove along the coast in a rented car.",
)


def prose() -> str:
    """Returns English text: what scikit-learn says of its data sets."""
    folder = files("sklearn.datasets.descr")
    return "\n".join(
        sorted(path.read_text("utf-8") for path in folder.iterdir() if path.name.endswith(".rst"))
    )
