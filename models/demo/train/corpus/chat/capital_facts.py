"""Countries with their capitals and adjectives, other names people use for them, and large cities that are not capitals."""

# country as it stands in a sentence, capital, adjective
COUNTRIES = [
    ("France", "Paris", "French"), ("Germany", "Berlin", "German"), ("Italy", "Rome", "Italian"), ("Spain", "Madrid", "Spanish"),
    ("Portugal", "Lisbon", "Portuguese"), ("the Netherlands", "Amsterdam", "Dutch"), ("Belgium", "Brussels", "Belgian"),
    ("Luxembourg", "Luxembourg City", "Luxembourgish"), ("Switzerland", "Bern", "Swiss"), ("Austria", "Vienna", "Austrian"), ("Poland", "Warsaw", "Polish"),
    ("Czechia", "Prague", "Czech"), ("Slovakia", "Bratislava", "Slovak"), ("Hungary", "Budapest", "Hungarian"), ("Romania", "Bucharest", "Romanian"),
    ("Bulgaria", "Sofia", "Bulgarian"), ("Greece", "Athens", "Greek"), ("Turkey", "Ankara", "Turkish"), ("Russia", "Moscow", "Russian"),
    ("Ukraine", "Kyiv", "Ukrainian"), ("Norway", "Oslo", "Norwegian"), ("Sweden", "Stockholm", "Swedish"), ("Finland", "Helsinki", "Finnish"),
    ("Denmark", "Copenhagen", "Danish"), ("Iceland", "Reykjavik", "Icelandic"), ("Ireland", "Dublin", "Irish"), ("the United Kingdom", "London", "British"),
    ("Estonia", "Tallinn", "Estonian"), ("Latvia", "Riga", "Latvian"), ("Lithuania", "Vilnius", "Lithuanian"), ("Croatia", "Zagreb", "Croatian"),
    ("Serbia", "Belgrade", "Serbian"), ("Slovenia", "Ljubljana", "Slovenian"), ("Albania", "Tirana", "Albanian"), ("Malta", "Valletta", "Maltese"),
    ("Cyprus", "Nicosia", "Cypriot"), ("Japan", "Tokyo", "Japanese"), ("China", "Beijing", "Chinese"), ("South Korea", "Seoul", "South Korean"),
    ("North Korea", "Pyongyang", "North Korean"), ("India", "New Delhi", "Indian"), ("Pakistan", "Islamabad", "Pakistani"), ("Bangladesh", "Dhaka", "Bangladeshi"),
    ("Nepal", "Kathmandu", "Nepali"), ("Sri Lanka", "Sri Jayawardenepura Kotte", "Sri Lankan"), ("Thailand", "Bangkok", "Thai"),
    ("Vietnam", "Hanoi", "Vietnamese"), ("Cambodia", "Phnom Penh", "Cambodian"), ("Laos", "Vientiane", "Laotian"), ("Malaysia", "Kuala Lumpur", "Malaysian"),
    ("Singapore", "Singapore", "Singaporean"), ("Indonesia", "Jakarta", "Indonesian"), ("the Philippines", "Manila", "Philippine"),
    ("Mongolia", "Ulaanbaatar", "Mongolian"), ("Iran", "Tehran", "Iranian"), ("Iraq", "Baghdad", "Iraqi"), ("Israel", "Jerusalem", "Israeli"),
    ("Jordan", "Amman", "Jordanian"), ("Lebanon", "Beirut", "Lebanese"), ("Syria", "Damascus", "Syrian"), ("Saudi Arabia", "Riyadh", "Saudi"),
    ("the United Arab Emirates", "Abu Dhabi", "Emirati"), ("Qatar", "Doha", "Qatari"), ("Kuwait", "Kuwait City", "Kuwaiti"), ("Oman", "Muscat", "Omani"),
    ("Afghanistan", "Kabul", "Afghan"), ("Kazakhstan", "Astana", "Kazakh"), ("Uzbekistan", "Tashkent", "Uzbek"), ("Georgia", "Tbilisi", "Georgian"),
    ("Armenia", "Yerevan", "Armenian"), ("Azerbaijan", "Baku", "Azerbaijani"), ("Egypt", "Cairo", "Egyptian"), ("Libya", "Tripoli", "Libyan"),
    ("Tunisia", "Tunis", "Tunisian"), ("Algeria", "Algiers", "Algerian"), ("Morocco", "Rabat", "Moroccan"), ("Sudan", "Khartoum", "Sudanese"),
    ("Ethiopia", "Addis Ababa", "Ethiopian"), ("Kenya", "Nairobi", "Kenyan"), ("Uganda", "Kampala", "Ugandan"), ("Tanzania", "Dodoma", "Tanzanian"),
    ("Rwanda", "Kigali", "Rwandan"), ("Nigeria", "Abuja", "Nigerian"), ("Ghana", "Accra", "Ghanaian"), ("Senegal", "Dakar", "Senegalese"),
    ("Mali", "Bamako", "Malian"), ("Cameroon", "Yaoundé", "Cameroonian"), ("Angola", "Luanda", "Angolan"), ("Zambia", "Lusaka", "Zambian"),
    ("Zimbabwe", "Harare", "Zimbabwean"), ("Mozambique", "Maputo", "Mozambican"), ("Madagascar", "Antananarivo", "Malagasy"),
    ("South Africa", "Pretoria", "South African"), ("Namibia", "Windhoek", "Namibian"), ("Botswana", "Gaborone", "Botswanan"),
    ("the United States", "Washington, D.C.", "American"), ("Canada", "Ottawa", "Canadian"), ("Mexico", "Mexico City", "Mexican"), ("Cuba", "Havana", "Cuban"),
    ("Jamaica", "Kingston", "Jamaican"), ("Haiti", "Port-au-Prince", "Haitian"), ("Guatemala", "Guatemala City", "Guatemalan"),
    ("Costa Rica", "San José", "Costa Rican"), ("Panama", "Panama City", "Panamanian"), ("Colombia", "Bogotá", "Colombian"),
    ("Venezuela", "Caracas", "Venezuelan"), ("Ecuador", "Quito", "Ecuadorian"), ("Peru", "Lima", "Peruvian"), ("Brazil", "Brasília", "Brazilian"),
    ("Bolivia", "Sucre", "Bolivian"), ("Chile", "Santiago", "Chilean"), ("Argentina", "Buenos Aires", "Argentine"), ("Uruguay", "Montevideo", "Uruguayan"),
    ("Paraguay", "Asunción", "Paraguayan"), ("Australia", "Canberra", "Australian"), ("New Zealand", "Wellington", "New Zealand"), ("Fiji", "Suva", "Fijian"),
]  # fmt: skip

# other names for a country, used in questions only
ALIASES = {
    "the United Kingdom": ["the UK", "UK", "Britain", "Great Britain", "England", "United Kingdom"],
    "the United States": ["the USA", "USA", "the US", "America", "the U.S.", "the United States of America", "United States"],
    "the Netherlands": ["Holland", "Netherlands"], "the United Arab Emirates": ["the UAE", "UAE", "United Arab Emirates"],
    "the Philippines": ["Philippines"], "Czechia": ["the Czech Republic", "Czech Republic"], "Turkey": ["Türkiye"], "Russia": ["the Russian Federation"],
    "Ireland": ["the Republic of Ireland"], "Germany": ["the Federal Republic of Germany"], "China": ["the People's Republic of China"],
    "South Korea": ["the Republic of Korea"],
}  # fmt: skip

# how a capital is typed when not as above
CAPITAL_SPELLINGS = {
    "Washington, D.C.": ["Washington", "Washington DC", "Washington D.C."], "Yaoundé": ["Yaounde"], "San José": ["San Jose"], "Bogotá": ["Bogota"],
    "Brasília": ["Brasilia"], "Asunción": ["Asuncion"], "Kyiv": ["Kiev"], "New Delhi": ["Delhi"], "Sri Jayawardenepura Kotte": ["Kotte"],
}  # fmt: skip

LARGE_CITIES = {
    "France": ["Lyon", "Marseille", "Nice"], "Germany": ["Munich", "Hamburg", "Frankfurt", "Bonn"], "Italy": ["Milan", "Venice", "Naples", "Florence"],
    "Spain": ["Barcelona", "Seville", "Valencia"], "Portugal": ["Porto"], "the Netherlands": ["Rotterdam", "The Hague"], "Belgium": ["Antwerp", "Bruges"],
    "Switzerland": ["Zurich", "Geneva", "Basel"], "Austria": ["Salzburg", "Graz"], "Poland": ["Krakow", "Gdansk"], "Turkey": ["Istanbul", "Izmir"],
    "Russia": ["Saint Petersburg"], "Norway": ["Bergen"], "Sweden": ["Gothenburg", "Malmö"], "Ireland": ["Cork"], "the United Kingdom": ["Manchester", "Liverpool", "Edinburgh"],
    "Japan": ["Osaka", "Kyoto"], "China": ["Shanghai", "Hong Kong"], "South Korea": ["Busan"], "India": ["Mumbai", "Bangalore", "Calcutta"], "Pakistan": ["Karachi", "Lahore"],
    "Vietnam": ["Ho Chi Minh City", "Saigon"], "Israel": ["Tel Aviv"], "the United Arab Emirates": ["Dubai"], "Saudi Arabia": ["Mecca", "Jeddah"],
    "Kazakhstan": ["Almaty"], "Egypt": ["Alexandria"], "Morocco": ["Casablanca", "Marrakesh"], "Tanzania": ["Dar es Salaam"], "Nigeria": ["Lagos"],
    "South Africa": ["Cape Town", "Johannesburg"], "the United States": ["New York", "Los Angeles", "Chicago"], "Canada": ["Toronto", "Montreal", "Vancouver"],
    "Mexico": ["Cancun"], "Brazil": ["Rio de Janeiro", "São Paulo", "Rio"], "Bolivia": ["La Paz"], "Ecuador": ["Guayaquil"], "Colombia": ["Medellin"],
    "Australia": ["Sydney", "Melbourne"], "New Zealand": ["Auckland"], "Sri Lanka": ["Colombo"], "Greece": ["Thessaloniki"], "Ukraine": ["Odesa"],
}  # fmt: skip
