"""The demo shop: pages, words, goods and the built browser SDK. Simulated, for demonstration only."""
