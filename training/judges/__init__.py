"""Networks that tell who and what a painted picture shows, trained on people of their own."""
