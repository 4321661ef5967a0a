"""What goes into a paper or onto the Hugging Face Hub: the appendix of a sweep, the model card of an encoder."""
