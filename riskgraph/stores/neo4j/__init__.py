"""Neo4j beside the embedded store: history that services share, and a graph that people look at."""
